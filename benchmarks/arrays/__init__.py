"""Transfer on feature arrays against ADAPT and skada: accuracy on real data, time by size."""
