"""The same classifier behind other frameworks, each as its documentation says, one worker, one review a request."""
