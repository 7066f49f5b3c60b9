"""A proxy before any Kubernetes, that misbehaves on order and notes each call: for tests against a real cluster.

    from deployer_localstack.kubernetes import ClusterProxy

    with ClusterProxy(kubeconfig) as proxy:              # the cluster of its current context, or of context=NAME
        os.environ["KUBECONFIG"] = str(proxy.kubeconfig)       # its one context, of the same name and namespace, goes through the proxy
        proxy.fault("throttle", count=None, every=5)           # one answer in five is 429 with Retry-After
        proxy.fault("error", operation="patch deployments", status=409, code="Conflict", message="the object has been modified")
        proxy.fault("slow", operation="* services", seconds=2)
        proxy.fault("hold", operation="patch services")        # comes to the API server late: once there is no such rule any more
        proxy.fault("drop", operation="create *")              # the connection ends before the API server hears of the call
        proxy.fault("lose-answer", per_call=True, count=1)     # the call has its effect, and its answer is lost: each call once
        ...
        proxy.calls()                                          # what was asked, oldest first: entries of the journal
        proxy.clear()                                          # no more faults, and an empty journal

A call's `service` is the API group ("core", "apps", "autoscaling"), its `operation` the verb and the resource as RBAC names them ("create
deployments", "patch deployments/scale", "get pods/log", "watch pods", "create services/proxy"), its `region` the namespace; what is no resource
has no service and its path for a resource ("get /version"). All else passes as it is: watches and logs as they come, upgraded connections
(exec, port-forward, WebSockets) byte by byte. The user's own token goes through; a client certificate is shown by the proxy.
"""

from deployer_localstack.kubernetes.proxy import ClusterProxy

__all__ = ["ClusterProxy"]
