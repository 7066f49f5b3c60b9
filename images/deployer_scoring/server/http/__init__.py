"""HTTP/1.1 (RFC 9112): connections to requests, responses to bytes, and what clients may ask of the server. It knows no models."""
