"""What the bot does in Discord, by subject: each a cog, thin over the modules beside it."""
