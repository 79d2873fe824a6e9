# The queries of all AnalysisTemplates as recording rules, with the arguments of the tests: canary "new", stable "old".
# A mutation is applied to one of them; if it changes nothing, the output is empty.
#   --arg of ""|NAME   --arg without ""|floor|unless|idle|short-window
def mutated:
  if $without == "floor" then gsub(" >= 5"; "")
  elif $without == "unless" then (split("\n  unless\n") | if length > 1 then .[0] + "\n) or vector(0)" else .[0] end)
  elif $without == "idle" then gsub(" > 0\\)"; ")") | gsub("\n *or vector\\(0\\)\n *\\),"; ")," )
  elif $without == "short-window" then gsub("\\[15s\\]"; "[1m]")
  else . end;

[ .[] | select(.kind == "AnalysisTemplate") | .spec.metrics[]
  | { record: (.name | gsub("-"; "_")), expr: .provider.prometheus.query }
  | .expr |= (gsub("\\{\\{args\\.service\\}\\}"; "svc") | gsub("\\{\\{args\\.canary\\}\\}"; "new") | gsub("\\{\\{args\\.stable\\}\\}"; "old")
    | gsub("\\{\\{args\\.window\\}\\}"; "1m") | gsub("\\{\\{args\\.short-window\\}\\}"; "15s"))
] as $rules
| [ $rules[] | if .record == $of then .expr |= mutated else . end ]
| select($without == "" or . != $rules)
| { groups: [{ name: "analysis", rules: . }] }
