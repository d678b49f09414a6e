"""Exports of a trained model: SavedModel, TFLite and ONNX, with preprocessing inside."""

from tl_keras.export.onnx import onnx
from tl_keras.export.saved_model import saved_model
from tl_keras.export.tflite import tflite

__all__ = ["onnx", "saved_model", "tflite"]
