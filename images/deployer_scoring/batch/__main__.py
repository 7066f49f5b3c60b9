"""`python -m deployer_scoring.batch`: the same as `python -m deployer_scoring predict`."""

import sys

from deployer_scoring.batch.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
