"""JSON-RPC: one port for HTTP and WebSocket. `methods` has every family of methods.

`server` and `websocket` carry bytes, `jsonrpc` knows requests and answers, `registry` and `parameters` make methods of
typed Python functions, `backend` is the node as methods see it.
"""
