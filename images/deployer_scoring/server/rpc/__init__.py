"""gRPC, where it is asked for: the Open Inference Protocol, health and reflection. Its packages are imported by nothing else."""

import os

# Workers fork the model's process while they serve: grpcio's handlers of forks are for who goes on using it there.
os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "0")
# Its own log tells what any client can cause, a line each.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")
