"""PyScript makes Blob URLs of a worker's scripts and never revokes them: here they are told, for us to revoke."""

import js
from pyscript import PyWorker
from pyscript.ffi import create_proxy, to_js


def started(script, options):
    """A PyScript worker, and the list of the Blob URLs that were made for it."""
    create, urls = js.URL.createObjectURL, []

    def listen(blob):
        urls.append(create(blob))
        return urls[-1]

    js.URL.createObjectURL = create_proxy(listen)
    worker = PyWorker(script, to_js(options))
    js.URL.createObjectURL = create
    return worker, urls
