"""The client library that executors embed: they may send only while it says so."""
