"""EMR's JSON 1.1 endpoint: its input rules, its state machine, and steps that really run.

A request goes ``protocol`` (wire) -> ``validation`` (botocore's model) -> ``service`` (the
operations) -> ``rules`` (what EMR refuses) -> ``clusters`` (the state machine, pure). ``engine``
moves time on and performs what the state machine asks for, through ``steps``.
"""
