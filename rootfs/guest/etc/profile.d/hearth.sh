# What pip and npm install for the user is found by login shells.
PATH="$HOME/.local/bin:$PATH"
