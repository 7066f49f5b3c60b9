"""From a model directory to an object that predicts."""
