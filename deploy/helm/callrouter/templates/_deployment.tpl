{{- define "callrouter.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ include "callrouter.componentName" . }}
  labels:
    {{- include "callrouter.labels" . | nindent 4 }}
spec:
  replicas: {{ (index .root.Values .component).replicas }}
  strategy:
    rollingUpdate:
      maxUnavailable: 0
      maxSurge: 1
  selector:
    matchLabels:
      {{- include "callrouter.selector" . | nindent 6 }}
  template:
    {{- include "callrouter.template" . | nindent 4 }}
{{- end }}
