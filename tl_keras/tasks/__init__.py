"""What comes out of a model: kinds of targets, and labels of any form as training targets."""
