// The messages of grpc.health.v1, which Kubernetes probes and load balancers speak.

export const ServingStatus = {
  UNKNOWN: 0,
  SERVING: 1,
  NOT_SERVING: 2,
  SERVICE_UNKNOWN: 3,
} as const;
export type ServingStatus = (typeof ServingStatus)[keyof typeof ServingStatus];

export interface HealthCheckRequest {
  /** Empty: the server as a whole. */
  service: string;
}

export interface HealthCheckResponse {
  /** A ServingStatus. */
  status: number;
}
