"""A client for servers that speak the OpenAI protocol's chat completions.

`Server` says where one is, `Chat` what is asked, `Client.ask` asks it and tries again where that
may help, and `at_once` asks several questions at a time.
"""
