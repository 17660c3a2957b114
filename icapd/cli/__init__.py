"""The command line: one module per command, imported only when its command runs.

A command is one click.Command and returns its exit status (None is 0): 0 good, 1 findings
or a failure, 2 usage or configuration. It raises IcapdError for whatever the user can mend;
`main` prints that, one line each, and never a traceback.
"""
