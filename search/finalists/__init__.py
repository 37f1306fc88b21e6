"""The best configs trained again, and which of them wins."""
