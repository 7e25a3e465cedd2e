"""Long work out of process: start, follow, stop, resume. A job is a folder of files; see `folder`."""
