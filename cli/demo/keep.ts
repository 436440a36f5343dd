// How to look around in a demonstration that is left running.

import type { Report } from './report.ts'
import { heading, paragraph } from './text.ts'

/** Commands that can be copied as they stand, for the first node. */
export const howToLookAround = ({ nodes }: Report): string => {
  const [node] = nodes
  if (node === undefined) return ''
  const inside = (command: string): string => `  nsenter --net=${node.netns} ${command}\n`
  return (
    heading('Still running') +
    paragraph(`Nodes, daemons and pods stay. To look around on ${node.name}:`) +
    [
      inside('ip rule'),
      inside('ip route show table 200'),
      inside('nft list table inet eniway'),
      inside('curl -s http://127.0.0.1:61680/v1/node'),
      inside('dist/bin/eniway-cli status'),
    ].join('') +
    paragraph('To end it and remove everything: npm run -s demo -- --down')
  )
}
