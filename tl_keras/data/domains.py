"""Examples of several domains, read side by side: each batch has some of every domain."""

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

from tl_keras.data.base import Examples, Specs, Targets
from tl_keras.data.examples import are_inputs, as_examples
from tl_keras.data.rows import WHOLE, Cycle, Epochs, Part
from tl_keras.utils.errors import InputError

ONE_DOMAIN = "data"
"""Name of the domain of data that is not a dict of domains."""


class DomainExamples(Examples, Mapping):
    """Domain name → examples.

    An epoch is one pass over the largest domain; smaller ones begin again, in a new order, as
    often as needed, also within a batch. Every domain brings `batch_size` examples to a batch: of
    the largest the last batch of an epoch has what is left, and a domain that is smaller than a
    batch brings all it has.

    Elements of the batches are `(x, y)`, dicts from domain name to the examples' images and
    encoded labels; domains without labels are not in `y`.

    Args:
        domains: Name → examples; at least one.
    """

    def __init__(self, domains: Mapping[str, Examples]):
        self._domains = dict(domains)
        named = [one.class_names for one in self._domains.values() if one.class_names]
        self.class_names = named[0] if named else None

    def __getitem__(self, name: str) -> Examples:
        return self._domains[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._domains)

    def __len__(self) -> int:
        """Return the number of examples of the largest domain."""
        return max(len(one) for one in self._domains.values())

    def __eq__(self, other: object) -> bool:
        return self is other

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self) -> str:
        return f"DomainExamples({self._domains})"

    @property
    def spec(self) -> dict[str, Any]:
        """Domain name → shape and type of one example's `x`."""
        return {name: one.spec for name, one in self._domains.items()}

    @property
    def has_labels(self) -> bool:
        """Whether a domain has labels."""
        return any(one.has_labels for one in self._domains.values())

    @property
    def has_rows(self) -> bool:
        """Whether the batches of all domains are made of row numbers."""
        return all(one.has_rows for one in self._domains.values())

    @property
    def has_fixed_order(self) -> bool:
        """Whether two passes over any domain give the same order."""
        return all(one.has_fixed_order for one in self._domains.values())

    def fingerprint(self) -> str:
        """Return the fingerprints of all domains, with their names where there are several."""
        if self.only is not None:
            return self.only.fingerprint()
        return ", ".join(f"{name} {one.fingerprint()}" for name, one in self._domains.items())

    def read_for(self, wanted: Any) -> "DomainExamples":
        """Return the domains as a model reads them; see `Examples.read_for`."""
        read = {name: one.read_for(wanted) for name, one in self._domains.items()}
        same = all(read[name] is one for name, one in self._domains.items())
        return self if same else DomainExamples(read)

    @property
    def only(self) -> Examples | None:
        """The examples of the only domain; None if there are several."""
        return next(iter(self._domains.values())) if len(self._domains) == 1 else None

    def encoded_targets(self, spec: Specs) -> dict[str, Targets]:
        """Return name → all targets of the domain, None for one without labels."""
        return {name: one.encoded_targets(spec) for name, one in self._domains.items()}

    def batches(
        self,
        spec: Specs,
        batch_size: int,
        *,
        epochs: Epochs | None = None,
        part: Part = WHOLE,
    ) -> tf.data.Dataset:
        """Return the examples in batches; see `Examples.batches`.

        Without `epochs`, every domain comes once, in order; where it has ended it gives no more
        examples.
        """
        steps = -(-len(self) // batch_size)
        streams = {
            name: self._stream(name, spec, batch_size, steps, epochs, part)
            for name in self._domains
        }
        labelled = self.labelled(spec)

        @tf.autograph.experimental.do_not_convert
        def pair(elements: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
            x = {name: one[0] if name in labelled else one for name, one in elements.items()}
            return x, {name: elements[name][1] for name in labelled}

        return tf.data.Dataset.zip(streams).map(pair)

    def labelled(self, spec: Specs) -> tuple[str, ...]:
        """Return the names of the domains that have labels for a spec."""
        return tuple(
            name for name, one in self._domains.items() if one.has_labels and spec is not None
        )

    def _element_spec(self, spec: Specs) -> Any:
        elements = {name: one.element_spec(spec) for name, one in self._domains.items()}
        labelled = self.labelled(spec)
        x = {name: one[0] if name in labelled else one for name, one in elements.items()}
        return x, {name: elements[name][1] for name in labelled}

    def row_names(self, rows: np.ndarray) -> list[str]:
        """Name examples where there is one domain; see `Examples.row_names`."""
        return [] if self.only is None else self.only.row_names(rows)

    def _stream(self, name, spec, batch_size, steps, epochs, part) -> tf.data.Dataset:
        examples = self._domains[name]
        if epochs is None:
            dataset = examples.batches(spec, batch_size, part=part)
            own = -(-len(examples) // batch_size)
            if own == steps:
                return dataset
            rest = tf.data.Dataset.range(steps - own).map(lambda _: _nothing(dataset.element_spec))
            return dataset.concatenate(rest)
        seed = epochs.seed if self.only is not None else domain_seed(epochs.seed, name)
        order = epochs._replace(seed=seed)
        if len(examples) < len(self):
            first = epochs.first * steps + epochs.skip
            order = Cycle(seed, first, epochs.count * steps - epochs.skip)
        return examples.batches(spec, batch_size, epochs=order, part=part)


def domain_seed(seed: int, domain: str) -> int:
    """Return a seed of a domain's own, made from the run's."""
    return (seed + zlib.crc32(domain.encode())) % 2**32


def as_domains(data: Any, argument: str = "data", wanted: Any = None) -> DomainExamples:
    """Turn data, or a dict from domain name to data, into `DomainExamples`.

    Args:
        data: What `as_examples` takes, or domain name → that. A domain without labels is its `x`
            alone, or `(x, None)`.
        argument: Name that errors use.
        wanted: What a model takes of one example, if it is known; a dict with the names of its
            several inputs is one domain's `x`.

    Raises:
        InputError: If the dict is empty or a domain cannot be read.
    """
    if isinstance(data, DomainExamples):
        return data if wanted is None else data.read_for(wanted)
    if not isinstance(data, Mapping) or are_inputs(data, wanted):
        return DomainExamples({ONE_DOMAIN: as_examples(data, argument, wanted=wanted)})
    if not data:
        raise InputError(f"{argument}: expected at least one domain, got an empty dict.")
    strange = [name for name in data if not isinstance(name, str) or not name]
    if strange:
        raise InputError(
            f"{argument}: names of domains are strings, such as 'source' and 'target', got "
            f"{strange[0]!r}."
        )
    return DomainExamples(
        {
            name: as_examples(one, f"{argument}[{name!r}]", wanted=wanted)
            for name, one in data.items()
        }
    )


def _nothing(spec: Any) -> Any:
    return tf.nest.map_structure(
        lambda one: tf.zeros([0, *(size or 0 for size in one.shape[1:])], one.dtype), spec
    )
