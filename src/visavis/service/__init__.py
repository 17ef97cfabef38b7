"""REST service and web page: `server.serve` runs it, `application.create_app` creates it. Needs the extra `serve`."""
