"""AWS on loopback, for development and tests only: never a part of what is deployed.

moto answers for S3, SQS, IAM, CloudFormation and EC2; :mod:`local_aws.emr` answers for EMR and
really runs the steps. ``python -m local_aws --help`` starts both, :class:`local_aws.server.LocalAws`
does the same inside a test.
"""
