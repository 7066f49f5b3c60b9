"""From a request to the model's answer: in the event loop, or in a process of the model's own. It knows no HTTP."""
