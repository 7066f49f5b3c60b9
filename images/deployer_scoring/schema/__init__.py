"""What a model takes and gives: types, columns, tensors, signatures. Needs neither numpy nor pandas."""
