"""The bookstore over HTTP: the same application behind a reactor, a proactor, and a thread for each client.

    reactor              "now you can read": handlers are called when the kernel is ready for them (POSA2)
    proactor             "it has been read": handlers are called when the kernel has done it (POSA2)
    *_http_server        Acceptor and HttpHandler on each of the two; and the baseline, a blocking thread for each client
    http_messages        bytes in, requests out; no sockets (http_heads, http_requests, http_bodies, http_limits, http_refusal)
    http_responses       responses in, bytes out
    bookstore            the application: requests in, responses out; SQLite; no sockets either

What waits and what moves bytes is in the first three; what the bytes mean is in the last three, and knows nothing of
waiting. So the three servers differ in the one thing that they are here to show.
"""
