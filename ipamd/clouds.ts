// The sections of the configuration that belong to one cloud each. Azure has none: its NICs are
// attached before a node starts, so nothing remains to be chosen.

import { z } from 'zod'

const subnetsMax = 64
/** More than any of the clouds allows on a NIC. */
const securityGroupsMax = 16

type Words = {
  /** How ids of subnets and security groups begin. */
  readonly subnet: string
  readonly securityGroup: string
  /** What the cloud calls a subnet. */
  readonly subnetWord: string
}

const section = ({ subnet, securityGroup, subnetWord }: Words) =>
  z
    .strictObject({
      subnets: ids(subnet, `must be a ${subnetWord} id, ${subnet}…`)
        .max(subnetsMax)
        .default([])
        .describe('Subnets for new NICs, best first. Empty: chosen by tags.'),
      subnetTags: z
        .record(z.string(), z.string())
        .optional()
        .describe(
          'Tags of the subnets of the VPC and zone that new NICs may lie in; an empty value stands ' +
            'for any. Unset: the subnet of the primary NIC and those tagged kubernetes.io/role/cni.',
        ),
      securityGroups: ids(securityGroup, `must be a security group id, ${securityGroup}…`)
        .max(securityGroupsMax)
        .default([])
        .describe('Security groups of new NICs. Empty: those of the primary NIC.'),
      cluster: z.string().max(255).optional().describe('Cluster name that NICs are tagged with.'),
    })
    .prefault({})

const ids = (start: string, message: string) =>
  z.array(z.string().regex(new RegExp(`^${start}`), message))

/** Keys are those of `cloud`; a section counts only when its cloud is the node's. */
export const cloudSections = {
  aws: section({ subnet: 'subnet-', securityGroup: 'sg-', subnetWord: 'subnet' }),
  alibaba: section({ subnet: 'vsw-', securityGroup: 'sg-', subnetWord: 'vSwitch' }),
}
