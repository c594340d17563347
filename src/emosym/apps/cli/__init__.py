"""The shell command `emosym`: one file per verb, light to import; heavy work starts in the verb."""
