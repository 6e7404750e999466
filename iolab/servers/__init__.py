"""The bookstore over HTTP: the same application behind a reactor, a proactor, and a thread for each client.

    what waits, and moves bytes
        reactor, proactor        "now you can read", and "it has been read" (POSA2); timers, posted
        *_http_server            Acceptor and HttpHandler on each of the two; the baseline: a blocking thread a client
        http_server, worker_pool what the two have in common: who is connected, who computes, how it stops
    what the bytes mean, without sockets
        http_messages            bytes in, requests out: http_heads, http_requests, http_fields, http_bodies,
                                 http_limits, http_refusal
        http_responses           responses in, bytes out
        http_conversation        one client's requests and answers, in their order
    the application, without HTTP's bytes
        bookstore                requests in, responses out: bookstore_requests, bookstore_page
        bookstore_database       books and orders in an SQLite file: bookstore_file, bookstore_titles
    how it is run
        serve, workers           what `iolab serve` does, in one process or several; serving: in a thread, for notebooks
        steps                    the eight steps of a request, noted as they happen

What the bytes mean knows nothing of waiting, and the application knows of neither. So the three servers differ in the
one thing that they are here to show.
"""
