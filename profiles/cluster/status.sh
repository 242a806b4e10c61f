#!/usr/bin/env bash
# How a PBS job fares, in the word that Snakemake expects: running, success or failed.
told=$(qstat -x -f "$1" 2> /dev/null)
case $? in
    0) ;;
    153) echo failed; exit ;;  # PBS knows no such job
    *) echo running; exit ;;  # the server is busy: it is asked again later
esac
state=$(sed -n 's/^ *job_state = //p' <<< "$told")
status=$(sed -n 's/^ *Exit_status = //p' <<< "$told")
case "$state/$status" in
    [FC]/0) echo success ;;
    [FC]/*) echo failed ;;
    *) echo running ;;
esac
