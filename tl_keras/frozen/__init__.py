"""What makes frozen layers run once: the split model, its constants, and the feature store."""
