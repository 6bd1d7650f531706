"""A model that works in a kernel: from a question to code, run, looked at and corrected, to an answer. Knows nothing of Discord.

::

    agent = Agent(client, AgentOptions(model="…"))
    async with aclosing(agent.turn(session, Message("what is the mean of price?"), assistant).events()) as events:
        async for event in events:
            ...
"""
