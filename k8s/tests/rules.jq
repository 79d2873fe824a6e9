# Rules for every rendered overlay that no schema covers. Prints each violation on a line.

def pods: .[] | select(.spec.template.spec.containers) | { who: "\(.kind) \(.metadata.name)", spec: .spec.template.spec };

( pods | .who as $who | .spec
  | ( select(.securityContext.runAsNonRoot != true or .securityContext.seccompProfile.type != "RuntimeDefault")
      | "\($who): runAsNonRoot and seccompProfile RuntimeDefault are missing" ),
    ( select(.enableServiceLinks != false) | "\($who): enableServiceLinks must be false" ),
    # Only Prometheus calls the Kubernetes API, to list pods.
    ( ($who == "Deployment prometheus") as $asks | select(.automountServiceAccountToken != $asks) | "\($who): automountServiceAccountToken must be \($asks)" ),
    ( .containers[], (.initContainers // [])[] | "\($who), container \(.name)" as $where
      | ( select(.securityContext | .allowPrivilegeEscalation != false or .readOnlyRootFilesystem != true or .capabilities.drop != ["ALL"])
          | "\($where): the securityContext is not the restricted one" ),
        ( .resources | select(.requests.cpu == null or .limits.cpu != null) | "\($where): a CPU request, and no limit" ),
        ( .resources | select(.limits.memory == null or .limits.memory != .requests.memory) | "\($where): memory request = limit" ),
        ( select(.image | test(":.+$") | not) | "\($where): the image \(.image) has neither tag nor digest" ) ) ),

# NodeLocal DNSCache and Cloud DNS of GKE have an address, but no pod that a selector could match.
( [ .[] | select(.kind == "NetworkPolicy" and .metadata.name == "dns") | .spec.egress[]
    | select([.ports[].protocol] | sort == ["TCP", "UDP"]) | .to[].ipBlock.cidr // empty ] as $open
  | ("169.254.20.10/32", "169.254.169.254/32") | . as $address | select($open | index($address) | not)
  | "NetworkPolicy dns: \($address) is not open" ),

( .[] | select(.kind == "AnalysisTemplate") | .spec.metrics[] | "metric \(.name)" as $who
  | ( select(.failureCondition != null or (.successCondition // "" | startswith("len(result) > 0 && ") | not))
      | "\($who): one successCondition, which begins with `len(result) > 0 && `, and no failureCondition" ),
    ( select(.provider.prometheus.query | test("or vector\\([01]\\)\\s*$") | not) | "\($who): the query must end with `or vector(…)`" ),
    ( select(.consecutiveErrorLimit == null or (.count != null and .count <= .consecutiveErrorLimit))
      | "\($who): errors must reach their limit before measurements reach their count" ) ),

( .[] | select(.kind == "Rollout") | .spec
  | ( select(.replicas != null) | "Rollout: replicas are the autoscaler's" ),
    ( .strategy.canary
      | ( select(.steps[0].setWeight == null) | "Rollout: the first step must set a weight, or analysis runs before there are pods" ),
        ( select(any(.analysis.templates[]?; .templateName == "guard") | not) | "Rollout: no guard in the background" ),
        ( [.steps[] | if .setWeight then "weight" elif .analysis then (.analysis.templates | map(.templateName) | sort | join("+")) else empty end]
          | select(. != ([range(length / 2)] | map("weight", "evidence+stable-healthy"))) | "Rollout: each weight needs evidence and a healthy stable before the next" ) ) ),

( (.[] | select(.kind == "ConfigMap" and (.metadata.name | startswith("api-settings"))) | .data) as $settings
  | ( select($settings.APP__SERVICE__ENVIRONMENT != $environment) | "api-settings: the environment is not \($environment)" ),
    ( select($environment == "production" and $settings.APP__FAULTS__ENABLED != null) | "api-settings: the fault switch is not for production" ) )
