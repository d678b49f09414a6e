"""Why the weights of a PyTorch file can't be read, in words that a message can hold."""

__all__ = ["DamagedFile", "RefusedFile"]


class RefusedFile(Exception):
    """The file asks for something that a state dict has no need of.

    Args:
        what: What it is, as the object of "holds".
        remedy: What to do about it, as a sentence.
    """

    def __init__(
        self,
        what: str,
        remedy: str = "Save it again with `torch.save(model.state_dict(), path)`.",
    ) -> None:
        super().__init__(what)
        self.remedy = remedy


class DamagedFile(Exception):
    """The file contradicts itself or ends too early; the text says where."""
