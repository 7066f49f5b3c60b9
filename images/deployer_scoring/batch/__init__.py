"""Files scored in pieces, so that memory stays bounded however long they are: `python -m deployer_scoring predict`."""
