"""`compute: aci`: a deployment is a container group of Azure Container Instances, for trying things out, as Azure has it.

One group has one generation at a time: Azure changes it in place, and restarts it. The model is a layer of the image that it pulls, and the scoring
server lets in who has one of its keys.
"""
