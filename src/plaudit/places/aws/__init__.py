"""AWS as a place: training jobs, endpoints and functions, out and back. The only importer of boto3."""
