import numpy as np
import pytest
import tensorflow as tf

from tl_keras.inputs.decoding.attempts import attempt


def fails(value):
    with tf.control_dependencies([tf.debugging.Assert(value < 0, ["not negative"])]):
        return tf.identity(value)


def ends(value):
    """Out of range means the end of a sequence to `tf.data`."""
    return tf.raw_ops.StringToNumber(string_tensor=tf.strings.substr("ab", 5 + value, 1))


@pytest.mark.parametrize("wrap", [lambda function: function, tf.function])
@pytest.mark.parametrize(
    ("function", "value", "expected"),
    [(fails, -3, -3), (fails, 3, 7), (lambda value: 10 // value, 5, 2)],
)
def test_what_fails_is_replaced(wrap, function, value, expected):
    found = wrap(lambda given: attempt(function, given, tf.constant(7)))(tf.constant(value))
    assert int(found) == expected


def test_positions_outside_are_failures():
    found = attempt(ends, tf.constant(0), tf.constant(-1.0))
    assert float(found) == -1.0


def test_each_element_has_its_own_attempt():
    values = tf.constant([-1, 2, -3, 4])
    found = tf.map_fn(lambda value: attempt(fails, value, tf.constant(0)), values)
    np.testing.assert_array_equal(found, [-1, 0, -3, 0])
