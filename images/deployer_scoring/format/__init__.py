"""Models made: saved as MLflow saves them, with what they need and take, and loaded again as an object that predicts."""
