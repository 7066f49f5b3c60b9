"""The shared scoring image: how it is built, pushed and run.

builder                     `deploy build-and-push-container`: decides what is to be built, and whether it is there already
choosing                    which image a model gets on a target: one that is there, or one that is still to be made
context, Dockerfile         what goes in, unpacked by uv on this machine; how it is put together
dockerfiles                 `deploy models generate-dockerfile`: that context with a model in it, for a build elsewhere
dockerbuild, engine         the docker engine, by its SDK
standin                     an image of labels alone, for a cloud without an engine
wanted, locks, installing   from what a model asks for to exact versions, and to their files
environments, managers      an environment of them on this machine
resolved                    what `deploy models check --index` finds
uv, faults, indexes, cache  running uv, with the indexes that pip or uv are configured with; what is made once is kept
layers                      images put together without an engine
runtimes                    containers that run: under docker, or as processes
"""
