"""What the pipeline needs in an AWS account: one CloudFormation template, and the commands around it."""
