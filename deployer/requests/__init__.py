"""What is sent to a deployment: payloads in every form, files of requests, streams of answers."""
