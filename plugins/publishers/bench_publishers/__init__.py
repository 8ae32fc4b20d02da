"""Publishers: they hand finished runs to other tools, when `bench publish` asks for it."""
