"""The clouds' APIs: each operation declared once, for the server, the SDK and the docs.

Pure: no sockets, no asyncio, no clock. Structs go in and bytes come out, and the other way round;
what time it is, and whose key a request was signed with, the caller says.
"""
