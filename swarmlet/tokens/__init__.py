"""The pure part of join tokens that node and coordinator share: claims, durations, checks with reasons.

The bytes of a token are the native extension's; nothing here sees a seed, a clock or a socket.
"""
