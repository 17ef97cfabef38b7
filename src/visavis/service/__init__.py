"""The REST service and its page: `running.serve` starts it, `application.create_app` makes it. Needs the extra `serve`."""
