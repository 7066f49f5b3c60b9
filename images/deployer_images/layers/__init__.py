"""Images put together without an engine: layers that are made from wheels alone, and sent over the registry's HTTP API.

wheels            from a lock to the one wheel of each package that an image takes; what has none is refused
package_set       wheels for one Python and platform: the address of their layer
installed         their files where the image has them, nothing of this machine in them; trimming says what is left out
archive           files to a tar layer: the same files give the same bytes
built             a layer of packages, made once a machine
bytecode          what their modules compile to, a layer of its own
published         and kept in a registry, under a manifest of its own
built_inside      the choice between wheels and, where some packages have none, a build by an engine
bases, parts      what an image stands on, and what is put on top; dockerfile and composing give its config and manifest
images, planning  the shared image, and one of a model's packages on it: planned, then made
engine_images     the latter in a docker engine's own store; on_engine puts the layers there
inventory         what a model's layer would hold
model_images      an image of one model, the model in it; oci_archive: as a file
model_layer       a model on top of an image in a registry, for nodes to pull
"""
