"""A model fetched by the container that serves it, before it is loaded: from an object store or a web server, by what every Python has."""
