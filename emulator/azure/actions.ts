// The names of what a client may call, as call logs show them, faults name them and roles deny
// them: the Azure permission without its provider.

/** Every action of the ARM face with the permission that a role needs for it. */
export const azureActions = {
  'networkInterfaces/read': 'Microsoft.Network/networkInterfaces/read',
  'networkInterfaces/write': 'Microsoft.Network/networkInterfaces/write',
  'networkInterfaces/delete': 'Microsoft.Network/networkInterfaces/delete',
  'subnets/read': 'Microsoft.Network/virtualNetworks/subnets/read',
  'subnets/join': 'Microsoft.Network/virtualNetworks/subnets/join/action',
  'virtualNetworks/read': 'Microsoft.Network/virtualNetworks/read',
  'networkSecurityGroups/read': 'Microsoft.Network/networkSecurityGroups/read',
  'networkSecurityGroups/join': 'Microsoft.Network/networkSecurityGroups/join/action',
  'applicationSecurityGroups/read': 'Microsoft.Network/applicationSecurityGroups/read',
  'applicationSecurityGroups/joinIpConfiguration':
    'Microsoft.Network/applicationSecurityGroups/joinIpConfiguration/action',
  'usages/read': 'Microsoft.Network/locations/usages/read',
  'virtualMachines/read': 'Microsoft.Compute/virtualMachines/read',
  'virtualMachines/write': 'Microsoft.Compute/virtualMachines/write',
  'virtualMachines/start': 'Microsoft.Compute/virtualMachines/start/action',
  'virtualMachines/deallocate': 'Microsoft.Compute/virtualMachines/deallocate/action',
  'virtualMachineScaleSets/read': 'Microsoft.Compute/virtualMachineScaleSets/read',
  'virtualMachineScaleSets/networkInterfaces/read':
    'Microsoft.Compute/virtualMachineScaleSets/networkInterfaces/read',
  'virtualMachineScaleSets/virtualMachines/read':
    'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/read',
  'virtualMachineScaleSets/virtualMachines/write':
    'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/write',
  'virtualMachineScaleSets/virtualMachines/networkInterfaces/read':
    'Microsoft.Compute/virtualMachineScaleSets/virtualMachines/networkInterfaces/read',
  'images/read': 'Microsoft.Compute/galleries/images/versions/read',
  'skus/read': 'Microsoft.Compute/skus/read',
  /** Asking how an asynchronous operation goes; needs no permission of its own. */
  'operations/read': 'Microsoft.Network/locations/operations/read',
} as const

export type AzureAction = keyof typeof azureActions

/** True when a list of denials (short names, permissions or `*`) contains the action. */
export const isDenied = (denied: readonly string[], action: AzureAction): boolean => {
  const names = [action, azureActions[action], '*'].map(name => name.toLowerCase())
  return denied.some(name => names.includes(name.toLowerCase()))
}
