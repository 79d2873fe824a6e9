# The connections that the NetworkPolicies of a rendered overlay allow, as rows of a table. A connection inside the
# namespace must be allowed by an egress and an ingress rule. One that is allowed on only one side is an error.

def fits($labels):
  if keys - ["matchLabels", "matchExpressions"] != [] then error("network.jq does not know the selector \(.)") else . end
  | ((.matchLabels // {}) | all(to_entries[]; $labels[.key] == .value))
    and ((.matchExpressions // []) | all(.[];
      if .operator != "In" then error("network.jq does not know the operator \(.operator)")
      else . as $e | $e.values | index($labels[$e.key]) != null end));

def port: if .port == null then "every port" elif (.protocol // "TCP") == "TCP" then "\(.port)" else "\(.port) \(.protocol)" end;

# The name of a rule's peer, or null if the peer is pods of this namespace.
def outside($anybody):
  if . == null then $anybody
  elif .ipBlock then "network \(.ipBlock.cidr)"
  elif .namespaceSelector then "namespace \(.namespaceSelector.matchLabels["kubernetes.io/metadata.name"] // error("network.jq knows namespaces by their name only"))"
  else null end;

[ .[] | .spec.template? // empty | select(.spec.containers) | .metadata.labels ] as $pods
| def name: .["app.kubernetes.io/name"];
  [ .[] | select(.kind == "NetworkPolicy") ] as $policies
| [ $policies[] | . as $policy | ("ingress", "egress") as $way | (.spec[$way] // [])[]
    | ((.from // .to // [null])[]) as $peer | ((.ports // [{}])[] | port) as $port
    | { policy: $policy.metadata.name, subject: $policy.spec.podSelector, way: $way, peer: $peer, port: $port }
  ] as $openings
| def open($pod; $way): $openings[] | select(.way == $way) | select(.subject | fits($pod));
  def meets($pod): .peer == null or ((.peer | outside("") == null) and (.peer.podSelector | fits($pod)));
  def inside: .peer != null and (.peer | outside("") == null);
  [ $pods[] as $pod | ("Ingress", "Egress") as $type
    | select(any($policies[]; (.spec.policyTypes | index($type)) and (.spec.podSelector | fits($pod))) | not)
    | "no policy closes \($pod | name) for \($type)" ]
+ [ $openings[] | . as $opening | select(any($pods[]; . as $pod | $opening.subject | fits($pod)) | not) | "the policy \(.policy) selects no pod" ]
+ [ $openings[] | select(inside) | . as $opening | select(any($pods[]; . as $pod | $opening | meets($pod)) | not) | "the policy \(.policy) opens to no pod" ]
+ [ $pods[] as $from | open($from; "egress") | select(inside) as $out | $pods[] | select(. as $to | $out | meets($to)) | . as $to
    | select(any(open($to; "ingress"); .port == $out.port and meets($from)) | not)
    | "\($from | name) may send to \($to | name) \($out.port), which does not take it" ]
+ [ $pods[] as $to | open($to; "ingress") | select(inside) as $in | $pods[] | select(. as $from | $in | meets($from)) | . as $from
    | select(any(open($from; "egress"); .port == $in.port and meets($to)) | not)
    | "\($to | name) \($in.port) takes from \($from | name), which may not send it" ]
| if . != [] then error(unique | join("; ")) else . end
| [ ( $pods[] as $from | $pods[] as $to | open($from; "egress") | select(meets($to)) as $out
      | select(any(open($to; "ingress"); .port == $out.port and meets($from)))
      | { to: ($to | name), port: $out.port, from: ($from | name) } ),
    ( $pods[] as $from | open($from; "egress") | select(inside | not) | { to: (.peer | outside("anywhere")), port, from: ($from | name) } ),
    ( $pods[] as $to | open($to; "ingress") | select(inside | not) | { to: ($to | name), port, from: (.peer | outside("anyone")) } )
  ]
| unique | group_by([.to, .port])
| map({ to: .[0].to, port: .[0].port, from: (map(.from) | unique | if length == ($pods | length) then "every pod" else join(", ") end) })
| group_by([.to, .from])
| map("| \(.[0].to) | \(map(.port) | join(", ")) | \(.[0].from) |")[]
