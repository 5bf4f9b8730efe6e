"""Dialects: the forms in which clients and providers write requests and answers.

A request stays the bytes that arrived wherever its model's provider speaks the client's dialect.
Otherwise it is read into a ``Conversation`` and written in the provider's dialect, and the answer
comes back as ``AnswerPart`` objects that are written in the client's. Each dialect is one module
that reads and writes both.
"""
