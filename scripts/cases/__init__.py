"""The cases of the conformance suite: histories that are played call by call, honest but for one thing.

history.py       plays a history on the rules in memory, and keeps its blobs
case.py          a case, and the files that it is written as
samples.py       manifests, models and updates small enough to read
heads.py commitments.py validations.py aggregates.py audits.py
                 the cases of each verb
"""
